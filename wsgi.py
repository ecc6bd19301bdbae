"""What gunicorn serves: `gunicorn -c devicehub/web/gunicorn.py wsgi:app`."""

from gevent import monkey

monkey.patch_all()

from devicehub import app as application  # noqa: E402
from devicehub.core import config  # noqa: E402

app = application.create_app(config.load())
application.start(app)
