"""As much of curl as the README's quick start types, for machines that have none."""

import argparse
import sys
import time

import httpx

TIMED_OUT = 28  # curl's own exit status


def _as_sent(answer: httpx.Response) -> list[str]:
    return [f"{name.decode()}: {value.decode()}" for name, value in answer.headers.raw]


def main() -> int:
    """Make one request and write its answer as curl would."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-S", action="store_true")
    parser.add_argument("-N", action="store_true")
    parser.add_argument("-H", action="append", default=[], dest="headers")
    parser.add_argument("-d", dest="data")
    parser.add_argument("-o", dest="output", default="/dev/stdout")
    parser.add_argument("-D", dest="dump")
    parser.add_argument("--max-time", type=float, default=60)
    asked = parser.parse_args()
    method = "GET" if asked.data is None else "POST"
    headers = dict(header.split(": ", 1) for header in asked.headers)
    ends_at = time.monotonic() + asked.max_time
    try:
        with (
            open(asked.output, "wb") as output,
            httpx.stream(method, asked.url, headers=headers, content=asked.data, timeout=asked.max_time) as answer,
        ):
            if asked.dump == "-":
                print(f"HTTP/1.1 {answer.status_code}", *_as_sent(answer), sep="\n")
            for piece in answer.iter_raw():
                output.write(piece)
                output.flush()
                if time.monotonic() > ends_at:
                    return TIMED_OUT
    except httpx.TimeoutException:
        return TIMED_OUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
