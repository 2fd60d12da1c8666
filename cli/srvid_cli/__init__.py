"""The three commands: srvid (video), srbatch (images), srkit (everything around them)."""
