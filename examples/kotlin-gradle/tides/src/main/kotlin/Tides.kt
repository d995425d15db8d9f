package harbour

/** Hours from one high water to the next. */
const val PERIOD = 12.42

fun hoursToHighWater(hoursSince: Double): Double = PERIOD - hoursSince % PERIOD
