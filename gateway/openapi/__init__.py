"""An OpenAPI description (3.0, 3.1) becomes routes, and is held against the routes that there are.

    document      the file, in YAML or JSON: its data, the place of each key, and what a $ref stands for
    operations    every operation: its method, its path below the server's, and what it says of security
    demands       security requirements as scopes that a route demands
    templates     OpenAPI's path templates as the gateway's
    entries       operations as entries of the route table, in an order in which each of them is reached
    writing       those entries as YAML
    drift         operations without a route, and routes without an operation

What a description does not say is not let in: an operation without a word about security gets no route.
"""
