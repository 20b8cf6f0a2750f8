"""Live sources: microphone, camera, LSL stream, file and raw samples on stdin, each a module."""
