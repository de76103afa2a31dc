"""Where jobs run: a Ray cluster that is there, or one of this machine; and the storage they use."""
