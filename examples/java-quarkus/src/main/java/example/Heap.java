package example;

import jakarta.ws.rs.GET;
import jakarta.ws.rs.Path;
import jakarta.ws.rs.PathParam;

@Path("/heap/{weeks}")
public class Heap {
    @GET
    public String state(@PathParam("weeks") int weeks) {
        String state = weeks < 4 ? "warm" : weeks < 30 ? "settling" : "ready";
        return "After " + weeks + " weeks the heap is " + state + ".\n";
    }
}
