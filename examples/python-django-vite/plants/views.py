import json

from django.conf import settings
from django.http import HttpResponse
from django.templatetags.static import static

from plants.models import Plant


def index(request):
    manifest = json.loads((settings.BASE_DIR / "dist" / ".vite" / "manifest.json").read_text())
    script = static(manifest["assets/main.js"]["file"])
    names = ", ".join(Plant.objects.values_list("name", flat=True))
    return HttpResponse(f'<p>{names}</p><script type="module" src="{script}"></script>')
