plugins {
    alias(libs.plugins.kotlin.jvm)
    alias(libs.plugins.ktor)
}

kotlin {
    jvmToolchain(libs.versions.java.get().toInt())
}

application {
    mainClass = "harbour.MainKt"
}

dependencies {
    implementation(project(":tides"))
    implementation(libs.ktor.server.core)
    implementation(libs.ktor.server.netty)
}
