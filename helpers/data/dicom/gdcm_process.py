"""GDCM in a process of its own: it ends the process that it runs in on some damaged files.

Run as a script; no other part of the package is imported. From standard input come requests, a
line of JSON (`syntax`, `options` of pydicom's decoder, `bytes`) and that many bytes, the
encapsulated frame. To standard output go answers, a line of JSON (`shape`, `dtype`, `bytes`; or
`error`) and that many bytes.
"""

import contextlib
import json
import sys

MEMORY = 2**31


def serve() -> None:
    """Answer until standard input ends."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from pydicom.pixels import get_decoder

    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["bytes"])
        try:
            values, _ = get_decoder(request["syntax"]).as_array(
                data, decoding_plugin="gdcm", **request["options"]
            )
            content = values.tobytes()
            answer = {"shape": values.shape, "dtype": values.dtype.str, "bytes": len(content)}
        except Exception as error:
            answer, content = {"error": type(error).__name__}, b""
        answers.write(json.dumps(answer).encode() + b"\n" + content)
        answers.flush()


if __name__ == "__main__":
    serve()
