"""Search methods, a file each; what several share stands beside them."""
