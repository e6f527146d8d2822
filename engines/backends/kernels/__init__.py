"""The decode step of the text-to-semantic network as CUDA kernels of our own.

`packing` puts the weights into the order that the kernels read, `compiling` builds the machine
code ahead of time, `decode_loop` says which kernels to launch with what. Nothing here needs a GPU
or a CUDA package: who launches is a `decode_loop.Driver`.
"""
