"""`devicehub simulate`: a fleet that speaks plain HTTP to any server, and imports no feature of ours."""
