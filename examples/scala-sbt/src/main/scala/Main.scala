import com.sun.net.httpserver.HttpServer
import java.net.InetSocketAddress
import java.time.LocalDate
import java.time.temporal.ChronoUnit
import upickle.default.*

/** A day of a new moon, and the days from one to the next. */
val newMoon = LocalDate.of(2000, 1, 6)
val month = 29.530588

case class Phase(day: String, age: Double, name: String) derives ReadWriter

def phase(day: LocalDate): Phase =
  val since = ChronoUnit.DAYS.between(newMoon, day) % month
  val age = if since < 0 then since + month else since
  val names = Vector("new", "waxing", "full", "waning")
  val index = ((age / month * 4) + 0.5).toInt % 4
  Phase(day.toString, (age * 10).round / 10.0, names(index))

@main def serve(): Unit =
  val port = sys.env.getOrElse("PORT", "3000").toInt
  val server = HttpServer.create(InetSocketAddress(port), 0)
  server.createContext("/", exchange =>
    val day = LocalDate.parse(exchange.getRequestURI.getPath.stripPrefix("/"))
    val body = write(phase(day)).getBytes("UTF-8")
    exchange.sendResponseHeaders(200, body.length)
    exchange.getResponseBody.write(body)
    exchange.close()
  )
  server.start()
