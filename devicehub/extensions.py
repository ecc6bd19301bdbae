"""The Flask extensions, unbound; `app.py` binds them. Imports nothing of ours."""

from flask_caching import Cache
from flask_jwt_extended import JWTManager
from flask_smorest import Api
from flask_socketio import SocketIO

api = Api()
caching = Cache()
jwt = JWTManager()
socketio = SocketIO()
