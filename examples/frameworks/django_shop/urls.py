from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path


def show_item(request: HttpRequest, item_id: int) -> HttpResponse:
    return JsonResponse({"id": item_id})


def broken(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=503)


urlpatterns = [path("items/<int:item_id>", show_item), path("broken", broken)]
