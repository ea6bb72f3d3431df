"""How fast and how small the operator is, on a real API server, beside what that server takes at best."""
