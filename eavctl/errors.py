"""Every error a user can meet: one or two lines that say what is wrong, where, and what to do."""

from __future__ import annotations


class EavctlError(Exception):
    """Base of all errors that are the input's or the caller's doing, never a bug.

    ``exit_code`` is what the command line ends with: 2 for wrong usage, 3 for bad or ill-fitting data.
    """

    exit_code = 3


class UsageError(EavctlError):
    """The command was asked for something that cannot be meant."""

    exit_code = 2


class DataError(EavctlError):
    """A file or table is broken, empty, or does not fit the others."""


class NoSpaceError(DataError):
    """What was to be written has no room on the disk."""


class SignalError(DataError):
    """One recording cannot be used: unreadable, silent, too short, not finite."""


class SettingsError(DataError):
    """A model meets features of other settings than it was trained on."""


class LeakError(DataError):
    """A subject, clip or trial stands on both sides of a split whose protocol forbids it."""


class RecordingWarning(UserWarning):
    """Something is wrong with a recording that can be used all the same."""


class TrainingWarning(UserWarning):
    """A training went on, but not as it should: what was chosen or calibrated, and on which rows."""
