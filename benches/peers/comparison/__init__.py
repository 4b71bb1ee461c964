"""The driver of the peer comparison, and the engines that are Python packages."""
