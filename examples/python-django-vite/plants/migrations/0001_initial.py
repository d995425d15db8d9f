from django.db import migrations, models


def plant(apps, schema_editor):
    apps.get_model("plants", "Plant").objects.create(name="foxglove")


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Plant",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=40)),
            ],
        ),
        migrations.RunPython(plant),
    ]
