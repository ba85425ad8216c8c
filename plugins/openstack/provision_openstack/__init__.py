"""The OpenStack platform for `provision`."""
