"""`triodeutl`: the offline tool, etcdutl's commands for the files of Triode and of etcd."""
