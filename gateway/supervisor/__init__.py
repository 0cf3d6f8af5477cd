"""Several worker processes behind one port, and the process that keeps them running.

    supervisor     starts, replaces and ends children; runs the one admin listener; takes the configuration anew
    generation     the plan in force, and what the supervisor itself holds open for it
    named_files    what is in the files that a plan names
    newly_allowed  refuses a reload that would open a door, where that is wanted
    reloads        what became of the reloads
    watch          looks whether files have changed
    process        which process this is, for whoever sends it a signal
    place          where one child runs: started, watched, restarted with back-off
    child          one child process, as the supervisor sees it
    worker         one child process, as it sees itself
    channel        what they say to each other: a line of JSON a message
    sockets        one listening socket a worker, all on one address, open for as long as the supervisor lives
    snapshots      figures of all workers as one

Nothing is imported here: a worker, which is started by its module's name, would pay for what the supervisor needs.

The kernel's queues of connections belong to the sockets, and the sockets to the supervisor: a worker that dies or is
replaced loses no connection that still waits to be accepted.
"""
