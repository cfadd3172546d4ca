# nomad job run nomad.hcl - a batch job that boots the kernel in the host volume "kernels", on a client
# with /dev/kvm. The image is made from Containerfile.
job "smoke" {
  type = "batch"

  # A client with hardware virtualization: one that shows SVM or VMX to its guests.
  constraint {
    attribute = "${attr.cpu.arch}"
    value     = "amd64"
  }

  group "smoke" {
    # A kernel that panicked once has panicked.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    volume "kernels" {
      type   = "host"
      source = "kernels"
    }

    task "boot" {
      driver = "docker"

      volume_mount {
        volume      = "kernels"
        destination = "/kernels"
      }

      config {
        image    = "registry.example/tollgate:latest"
        work_dir = "/kernels"
        command  = "sh"
        args     = ["-c", "tollgate smoke --config smoke.yaml bzImage"]
        devices = [
          {
            host_path      = "/dev/kvm"
            container_path = "/dev/kvm"
          }
        ]
      }

      resources {
        cores  = 4
        memory = 8192
      }
    }
  }
}
