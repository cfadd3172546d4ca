/* network.h - lo, and a first Ethernet interface if there is one. */
#ifndef INIT_NETWORK_H
#define INIT_NETWORK_H

/*
 * Sets lo up, and the first Ethernet interface by DHCP: address, default route, name servers in
 * /etc/resolv.conf unless that is there. Says on the console what cannot be had, and goes on.
 */
void network_setup(void);

#endif
