"""Scopegate: a reverse proxy that lets a request pass when its bearer token carries the scopes its route demands.

A request's journey, and where each step is:

    match     which route is this?               policy.routes
    take      which token does it carry?         policy.bearer
    verify    is the token genuine and valid?    tokens; keys are fetched beside the request path
    decide    does it satisfy the rule?          policy.decision
    forward   stream to the upstream             relay, between downstream and upstream; tunnel for WebSockets
    record    one access record, always          exchange, recorder, access

`rules.judge` is the first four of them and waits for nothing; `proxy` travels all six. The layers, from the top; each
imports only from those below it, and siblings do not know each other (the import rules are executed by `make check`):

    cli          one module a command
    supervisor   worker processes on one port
    app          the only wiring: a plan becomes a running gateway
    explain      the same judgement, told step by step
    embedded, figures
    build (a configuration becomes a plan), assembly (a plan's parts become objects), proxy, admin, issuer, demo
    sources, plan, recorder, relay, exchange, tunnel, rules
    tokens, upstream, downstream, access, rates
    client, config, deadlines, tls, starting, background
    policy       pure: standard library only, no clock, no logging, no I/O

An expected refusal is a value out of a closed set (`policy.denial`), with one table to status, challenge and hint.
Foreign errors are translated once, at the border where they enter. Anything unforeseen is a 500, logged, and never
forwarded.
"""

__version__ = "0.1.0"
