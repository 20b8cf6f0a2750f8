"""The socket of the service."""

import socket

from eavctl.serving.server import _listening


def test_packets_of_an_answer_do_not_wait_for_each_other():
    with _listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
