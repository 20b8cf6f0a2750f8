"""All errors that users can get: one or two lines that say what is wrong, in which file, and what to do."""

from __future__ import annotations


class EavctlError(Exception):
    """Base class of all errors caused by the input or the caller, never by a bug.

    ``exit_code`` is the exit code of the command line: 2 for wrong usage, 3 for bad or ill-fitting data.
    """

    exit_code = 3


class UsageError(EavctlError):
    """Wrong usage: an invalid option, setting or combination of them."""

    exit_code = 2


class DataError(EavctlError):
    """A file or table is broken, empty, or does not fit the others."""


class BusyError(DataError):
    """Another process is writing the same file."""


class NoSpaceError(DataError):
    """The disk is full."""


class SignalError(DataError):
    """A recording cannot be used: unreadable, silent, too short, or not finite."""


class AbsentError(SignalError):
    """A recording is intact, but has no sound, or no picture."""


class SilentError(SignalError):
    """A recording is intact, but every sample is 0."""


class SettingsError(DataError):
    """The features have other settings than those that the model was trained on."""


class LeakError(DataError):
    """A subject, clip or trial is on both sides of a split, which the protocol forbids."""


class RecordingWarning(UserWarning):
    """Something is wrong with a recording, but it can be used."""


class TrainingWarning(UserWarning):
    """Training continued, but selection or calibration used other rows than it should."""


class CostWarning(UserWarning):
    """A computation that is about to start takes much time or memory."""
