"""Flask-SocketIO as its documentation sets it up, with its Redis queue: what `make bench-fanout` compares with."""

import os
from typing import Any

from flask import Flask
from flask_socketio import SocketIO, emit, join_room

app = Flask(__name__)
socketio = SocketIO(app, message_queue=os.environ["REDIS_URL"], async_mode="gevent")


@socketio.on("connect")
def connect(auth: Any = None) -> None:
    join_room("room")
    emit("connected", {})
