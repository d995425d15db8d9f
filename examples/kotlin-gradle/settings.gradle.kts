rootProject.name = "harbour"

dependencyResolutionManagement {
    repositories {
        mavenCentral()
    }
}

include(":app", ":tides")
