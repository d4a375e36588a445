"""What goes wrong on purpose: the nemesis, and what it does to machines, disks, backends and the membership."""
