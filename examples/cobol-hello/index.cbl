       IDENTIFICATION DIVISION.
       PROGRAM-ID. INDEX-OF-GUESTS.
       ENVIRONMENT DIVISION.
       INPUT-OUTPUT SECTION.
       FILE-CONTROL.
           SELECT GUESTS ASSIGN TO "guests.dat"
               ORGANIZATION IS LINE SEQUENTIAL.
       DATA DIVISION.
       FILE SECTION.
       FD GUESTS.
       01 GUEST PIC X(20).
       WORKING-STORAGE SECTION.
       01 WS-END PIC X VALUE "N".
      *> Reads the guests and greets each.
       PROCEDURE DIVISION.
           OPEN INPUT GUESTS
           PERFORM UNTIL WS-END = "Y"
               READ GUESTS
                   AT END MOVE "Y" TO WS-END
                   NOT AT END CALL "GREET" USING GUEST
               END-READ
           END-PERFORM
           CLOSE GUESTS
           STOP RUN.
