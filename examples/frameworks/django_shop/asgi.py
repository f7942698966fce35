import os

from django.core.asgi import get_asgi_application

import otelmon

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_shop.settings")
application = otelmon.wrap(get_asgi_application())
