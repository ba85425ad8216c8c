"""The AWS EC2 platform for `provision`."""
