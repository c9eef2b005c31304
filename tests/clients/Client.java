// JDBC through the SQL gateway. Client.java URL PEOPLE PASSWORD: a password, since this driver wants another form of keys.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;

public class Client {
    static void must(boolean right, Object seen) {
        if (!right) throw new IllegalStateException("not as expected: " + seen);
    }

    public static void main(String[] arguments) throws Exception {
        int people = Integer.parseInt(arguments[1]);
        try (Connection connection = DriverManager.getConnection(arguments[0], arguments[2], arguments[3])) {
            List<String> names = new ArrayList<>();
            try (ResultSet tables = connection.getMetaData().getTables(null, connection.getSchema(), "video%", new String[] {"VIEW", "TABLE"})) {
                while (tables.next()) names.add(tables.getString("TABLE_NAME"));
            }
            must(names.equals(List.of("video_status")), names);
            List<String> columns = new ArrayList<>();
            try (ResultSet found = connection.getMetaData().getColumns(null, connection.getSchema(), "video_status", null)) {
                while (found.next()) columns.add(found.getString("COLUMN_NAME"));
            }
            must(columns.contains("review_state") && !columns.contains("uploader_ip"), columns);
            String text = "select video_id, review_state, owner, updated_at from video_status where video_id = ?";
            try (PreparedStatement one = connection.prepareStatement(text)) {
                // From the fifth time on the driver has it prepared, and asks for binary values.
                for (int n = 0; n < 8; n++) {
                    one.setLong(1, 1000000);
                    try (ResultSet row = one.executeQuery()) {
                        must(row.next() && row.getLong(1) == 1000000 && row.getString(2).equals("held"), n);
                        must(row.getString(3).startsWith("t1.") && row.getTimestamp(4) != null, row.getString(3));
                    }
                }
            }
            connection.setAutoCommit(false);
            try (PreparedStatement all = connection.prepareStatement("select video_id, owner from video_status order by 1")) {
                all.setFetchSize(7);
                int count = 0;
                try (ResultSet rows = all.executeQuery()) {
                    while (rows.next()) count++;
                }
                must(count == 3 * people, count);
            }
            connection.commit();
            try (PreparedStatement none = connection.prepareStatement("select uploader_ip from video_status")) {
                none.executeQuery();
                must(false, "a column that is not declared");
            } catch (SQLException error) {
                must("42703".equals(error.getSQLState()), error.getSQLState());
            }
            connection.rollback();
            try (ResultSet kinds = connection.createStatement().executeQuery("select array[1, null, 3], null::text, '{\"a\": 1}'::jsonb")) {
                must(kinds.next(), "no row");
                Integer[] array = (Integer[]) kinds.getArray(1).getArray();
                must(array.length == 3 && array[1] == null && kinds.getString(2) == null, array.length);
            }
        }
        System.out.println("ok");
    }
}
