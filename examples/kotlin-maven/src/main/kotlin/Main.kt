package lighthouse

import com.sun.net.httpserver.HttpServer
import java.net.InetSocketAddress

data class Light(val name: String, val seconds: List<Int>) {
    /** Flashes and eclipses in turn, from the start of the minute. */
    fun isLit(second: Int): Boolean {
        var rest = second % seconds.sum()
        for ((index, length) in seconds.withIndex()) {
            if (rest < length) return index % 2 == 0
            rest -= length
        }
        return false
    }
}

val lights = listOf(Light("Roter Sand", listOf(1, 4)), Light("Alte Weser", listOf(3, 3))).associateBy { it.name }

fun main() {
    val port = System.getenv("PORT")?.toInt() ?: 3000
    val server = HttpServer.create(InetSocketAddress(port), 0)
    server.createContext("/") { exchange ->
        val (name, second) = exchange.requestURI.path.removePrefix("/").split("/")
        val state = lights[name]?.let { if (it.isLit(second.toInt())) "lit" else "dark" } ?: "unknown"
        val body = "$name is $state at second $second\n".toByteArray()
        exchange.sendResponseHeaders(200, body.size.toLong())
        exchange.responseBody.use { it.write(body) }
    }
    server.start()
}
