from django.urls import path

from plants.views import index

urlpatterns = [path("", index)]
