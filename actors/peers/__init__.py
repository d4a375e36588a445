"""The links to the other members of the cluster: etcd's peer protocol. See `contract` for both sides of it."""
