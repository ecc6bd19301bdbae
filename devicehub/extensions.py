"""The Flask extensions, unbound; `app.py` binds them. Imports nothing of ours."""

from flask_jwt_extended import JWTManager
from flask_smorest import Api
from flask_socketio import SocketIO

api = Api()
jwt = JWTManager()
socketio = SocketIO()
