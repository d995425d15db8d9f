package example;

import java.io.StringReader;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVRecord;

public class SeedBank {
    private static final String SEEDS = "species,seeds\nrye,120\n\"oat, black\",80\n";

    public static void main(String[] arguments) throws Exception {
        int sum = 0;
        for (CSVRecord row : CSVFormat.DEFAULT.builder().setHeader().setSkipHeaderRecord(true).build().parse(new StringReader(SEEDS))) {
            sum += Integer.parseInt(row.get("seeds"));
        }
        System.out.println("The bank holds " + sum + " seeds.");
    }
}
