ROOT_URLCONF = "django_shop.urls"
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "only for this example"  # noqa: S105
