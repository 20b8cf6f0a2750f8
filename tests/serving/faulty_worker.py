"""A worker whose decoder of audio hangs, crashes or takes its time, by the name of the file."""

import os
import time

from eavctl.serving.worker import main
from eavctl.signals import audio

SLOW_S = 0.7
read = audio.read


def faulty_read(source, rate=None):
    match os.path.basename(source).split(".")[0]:
        case "hang":
            time.sleep(600)
        case "crash":
            os.abort()
        case "slow":
            time.sleep(SLOW_S)
    return read(source, rate)


audio.read = faulty_read
if __name__ == "__main__":
    main()
