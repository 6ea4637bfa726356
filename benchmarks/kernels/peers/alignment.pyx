# cython: language_level=3, boundscheck=False, wraparound=False
"""The published search of Glow-TTS and VITS as a peer: scalar loops that overwrite the scores, then a walk back.

Written from the algorithm's description, with the memory layout and compiler flags of the original.
"""
from cython.parallel import prange


cdef void align_one(int[:, ::1] path, float[:, ::1] value, int frames, int tokens) noexcept nogil:
    cdef float never = -1e9
    cdef float stay, come
    cdef int x, y
    cdef int token = tokens - 1
    for y in range(frames):
        for x in range(max(0, tokens + y - frames), min(tokens, y + 1)):
            if x == y:
                stay = never
            else:
                stay = value[y - 1, x]
            if x == 0:
                if y == 0:
                    come = 0.0
                else:
                    come = never
            else:
                come = value[y - 1, x - 1]
            value[y, x] += max(come, stay)
    for y in range(frames - 1, -1, -1):
        path[y, token] = 1
        if token != 0 and (token == y or value[y - 1, token] < value[y - 1, token - 1]):
            token = token - 1


def align(int[:, :, ::1] path, float[:, :, ::1] value, int[::1] frames, int[::1] tokens):
    """Writes ones to path [B, T_mel, T_text], which must be zero; value of the same shape is lost."""
    cdef int sample
    for sample in prange(value.shape[0], nogil=True):
        align_one(path[sample], value[sample], frames[sample], tokens[sample])
