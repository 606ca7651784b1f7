"""The one program that holds secrets and owns what takes time; kernels, pages and terminals only attach to it.

Modules are named by their noun. A route parses, calls and dumps; who may do what is said in `access`, how a call to a
model is paid for in `metering`, what runs meanwhile in `generations`. Nothing here knows `client` or `ui`.
"""
