#!/bin/sh
# In L1, whose kernel can make a page fail: tests/kvm/test_failed_memory.c with a page that does.
FAIL_MEMORY=1 exec /w/test_failed_memory
