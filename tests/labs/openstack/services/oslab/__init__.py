"""What runs inside of the lab's services: no hypervisor, no network agents, and faults on demand."""
