"""The meta-loop, the policies, the models' gateway, and the faces people use."""
