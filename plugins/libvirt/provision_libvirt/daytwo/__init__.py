"""What people do with deployed machines: look, switch, read, run, keep and bring back."""
