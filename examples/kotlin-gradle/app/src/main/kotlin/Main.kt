package harbour

import io.ktor.server.application.call
import io.ktor.server.engine.embeddedServer
import io.ktor.server.netty.Netty
import io.ktor.server.response.respondText
import io.ktor.server.routing.get
import io.ktor.server.routing.routing

fun main() {
    val port = System.getenv("PORT")?.toInt() ?: 8080
    embeddedServer(Netty, port = port, host = "0.0.0.0") {
        routing {
            get("/{hours}") {
                val hours = call.parameters["hours"]?.toDoubleOrNull() ?: 0.0
                call.respondText("High water in %.1f hours".format(hoursToHighWater(hours)))
            }
        }
    }.start(wait = true)
}
