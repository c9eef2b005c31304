//! Common names of the countries for which the crate `fake` has no locale. `a/b` in a family name: the form of
//! a man, then that of a woman.

/// The names of one country.
pub(super) struct List {
    pub(super) female: &'static [&'static str],
    pub(super) male: &'static [&'static str],
    pub(super) family: &'static [&'static str],
}

/// The names of a country; those of Ireland for a country without a list.
pub(super) fn of(code: &str) -> &'static List {
    match code {
        "BG" => &BG,
        "HR" => &HR,
        "CY" => &CY,
        "CZ" => &CZ,
        "DK" => &DK,
        "EE" => &EE,
        "FI" => &FI,
        "GR" => &GR,
        "HU" => &HU,
        "IS" => &IS,
        "LV" => &LV,
        "LT" => &LT,
        "MT" => &MT,
        "NO" => &NO,
        "PL" => &PL,
        "RO" => &RO,
        "SK" => &SK,
        "SI" => &SI,
        "ES" => &ES,
        "SE" => &SE,
        _ => &IE,
    }
}

const BG: List = List {
    female: &["Мария", "Елена", "Ивана", "Виктория", "Десислава", "Радостина", "Калина", "Гергана"],
    male: &["Георги", "Иван", "Димитър", "Николай", "Петър", "Стефан", "Борис", "Кирил"],
    family: &[
        "Иванов/Иванова",
        "Георгиев/Георгиева",
        "Димитров/Димитрова",
        "Петров/Петрова",
        "Николов/Николова",
        "Стоянов/Стоянова",
        "Тодоров/Тодорова",
        "Колев/Колева",
    ],
};

const HR: List = List {
    female: &["Ana", "Marija", "Lucija", "Petra", "Ivana", "Mia", "Katarina", "Dora"],
    male: &["Ivan", "Marko", "Luka", "Josip", "Ante", "Tomislav", "Matej", "Karlo"],
    family: &[
        "Horvat",
        "Kovačević",
        "Babić",
        "Marić",
        "Jurić",
        "Novak",
        "Knežević",
        "Vuković",
        "Šarić",
        "Đurić",
    ],
};

const CY: List = List {
    female: &["Μαρία", "Ελένη", "Ανδρούλα", "Χριστίνα", "Κατερίνα", "Σοφία"],
    male: &["Ανδρέας", "Γιώργος", "Κώστας", "Μιχάλης", "Παναγιώτης", "Χρίστος"],
    family: &["Γεωργίου", "Χριστοδούλου", "Ιωάννου", "Κωνσταντίνου", "Νικολάου", "Χαραλάμπους", "Παναγιώτου"],
};

const CZ: List = List {
    female: &["Jana", "Tereza", "Eliška", "Adéla", "Karolína", "Lucie", "Kateřina", "Barbora"],
    male: &["Jan", "Tomáš", "Jakub", "Ondřej", "Matěj", "Vojtěch", "Lukáš", "Jiří"],
    family: &[
        "Novák/Nováková",
        "Svoboda/Svobodová",
        "Novotný/Novotná",
        "Dvořák/Dvořáková",
        "Černý/Černá",
        "Procházka/Procházková",
        "Kučera/Kučerová",
        "Veselý/Veselá",
        "Horák/Horáková",
    ],
};

const DK: List = List {
    female: &["Emma", "Freja", "Ida", "Clara", "Sofie", "Laura", "Maja", "Kirstine"],
    male: &["William", "Noah", "Oscar", "Emil", "Mikkel", "Rasmus", "Søren", "Mads"],
    family: &[
        "Nielsen",
        "Jensen",
        "Hansen",
        "Pedersen",
        "Andersen",
        "Christensen",
        "Larsen",
        "Sørensen",
        "Rasmussen",
        "Jørgensen",
    ],
};

const EE: List = List {
    female: &["Sofia", "Mia", "Laura", "Liisa", "Kertu", "Anna", "Triin", "Kadri"],
    male: &["Rasmus", "Martin", "Karl", "Kristjan", "Markus", "Oliver", "Siim", "Tõnu"],
    family: &["Tamm", "Saar", "Sepp", "Mägi", "Kask", "Kukk", "Rebane", "Ilves", "Pärn", "Koppel"],
};

const FI: List = List {
    female: &["Aino", "Helmi", "Venla", "Sofia", "Eevi", "Hanna", "Päivi", "Noora"],
    male: &["Väinö", "Eino", "Oliver", "Leo", "Mikko", "Antti", "Juhani", "Onni"],
    family: &[
        "Korhonen",
        "Virtanen",
        "Mäkinen",
        "Nieminen",
        "Mäkelä",
        "Hämäläinen",
        "Laine",
        "Heikkinen",
        "Koskinen",
        "Järvinen",
    ],
};

const GR: List = List {
    female: &["Μαρία", "Ελένη", "Αικατερίνη", "Βασιλική", "Σοφία", "Αγγελική", "Γεωργία", "Δήμητρα"],
    male: &[
        "Γεώργιος",
        "Δημήτριος",
        "Κωνσταντίνος",
        "Ιωάννης",
        "Νικόλαος",
        "Χρήστος",
        "Παναγιώτης",
        "Βασίλειος",
    ],
    family: &[
        "Παπαδόπουλος/Παπαδοπούλου",
        "Βλάχος/Βλάχου",
        "Αγγελόπουλος/Αγγελοπούλου",
        "Νικολαΐδης/Νικολαΐδου",
        "Γεωργίου",
        "Πετρίδης/Πετρίδου",
        "Οικονόμου",
        "Δημητρίου",
    ],
};

const HU: List = List {
    female: &["Hanna", "Anna", "Zsófia", "Luca", "Emma", "Boglárka", "Réka", "Eszter"],
    male: &["Bence", "Máté", "Levente", "Dominik", "Ádám", "Gergő", "Balázs", "Zoltán"],
    family: &["Nagy", "Kovács", "Tóth", "Szabó", "Horváth", "Varga", "Kiss", "Molnár", "Németh", "Farkas"],
};

const IS: List = List {
    female: &["Guðrún", "Anna", "Kristín", "Sigríður", "Emilía", "Katla"],
    male: &["Jón", "Sigurður", "Guðmundur", "Aron", "Gunnar", "Ólafur"],
    family: &[
        "Jónsson/Jónsdóttir",
        "Sigurðsson/Sigurðardóttir",
        "Guðmundsson/Guðmundsdóttir",
        "Gunnarsson/Gunnarsdóttir",
        "Ólafsson/Ólafsdóttir",
    ],
};

const IE: List = List {
    female: &["Aoife", "Saoirse", "Ciara", "Niamh", "Emily", "Róisín", "Grace", "Orla"],
    male: &["Conor", "Seán", "Cian", "Oisín", "Jack", "Darragh", "Fionn", "Patrick"],
    family: &[
        "Murphy",
        "Kelly",
        "O'Sullivan",
        "Walsh",
        "Byrne",
        "Ryan",
        "O'Connor",
        "O'Neill",
        "Doyle",
        "McCarthy",
    ],
};

const LV: List = List {
    female: &["Anna", "Emīlija", "Marta", "Elza", "Līga", "Ilze", "Kristīne"],
    male: &["Jānis", "Roberts", "Kārlis", "Artūrs", "Mārtiņš", "Andris", "Edgars"],
    family: &[
        "Bērziņš/Bērziņa",
        "Kalniņš/Kalniņa",
        "Ozoliņš/Ozoliņa",
        "Jansons/Jansone",
        "Ozols/Ozola",
        "Liepiņš/Liepiņa",
        "Krūmiņš/Krūmiņa",
    ],
};

const LT: List = List {
    female: &["Emilija", "Ieva", "Gabija", "Austėja", "Rūta", "Monika", "Eglė"],
    male: &["Lukas", "Matas", "Jonas", "Dominykas", "Tomas", "Mantas", "Žygimantas"],
    family: &[
        "Kazlauskas/Kazlauskaitė",
        "Petrauskas/Petrauskaitė",
        "Jankauskas/Jankauskaitė",
        "Butkus/Butkutė",
        "Paulauskas/Paulauskaitė",
        "Urbonas/Urbonaitė",
    ],
};

const MT: List = List {
    female: &["Maria", "Elena", "Ġulja", "Martina", "Rebecca", "Claire"],
    male: &["Luca", "Matthew", "Jake", "Ġużeppi", "Karm", "Andrew"],
    family: &[
        "Borg",
        "Camilleri",
        "Vella",
        "Farrugia",
        "Zammit",
        "Galea",
        "Micallef",
        "Grech",
        "Attard",
        "Spiteri",
    ],
};

const NO: List = List {
    female: &["Nora", "Emma", "Ingrid", "Sofie", "Ella", "Astrid", "Sigrid", "Maja"],
    male: &["Jakob", "Lukas", "Emil", "Oskar", "Håkon", "Magnus", "Sindre", "Ola"],
    family: &[
        "Hansen",
        "Johansen",
        "Olsen",
        "Larsen",
        "Andersen",
        "Pedersen",
        "Nilsen",
        "Kristiansen",
        "Bø",
        "Ødegård",
    ],
};

const PL: List = List {
    female: &["Zofia", "Julia", "Hanna", "Maja", "Katarzyna", "Agnieszka", "Małgorzata", "Oliwia"],
    male: &["Antoni", "Jakub", "Szymon", "Jan", "Filip", "Michał", "Paweł", "Łukasz"],
    family: &[
        "Nowak",
        "Kowalski/Kowalska",
        "Wiśniewski/Wiśniewska",
        "Wójcik",
        "Kowalczyk",
        "Kamiński/Kamińska",
        "Lewandowski/Lewandowska",
        "Zieliński/Zielińska",
        "Szymański/Szymańska",
        "Woźniak",
        "Dąbrowski/Dąbrowska",
        "Kozłowski/Kozłowska",
    ],
};

const RO: List = List {
    female: &["Maria", "Elena", "Ioana", "Andreea", "Sofia", "Ștefania", "Alexandra", "Cristina"],
    male: &["Andrei", "Alexandru", "Ștefan", "Mihai", "Gabriel", "Ionuț", "Vlad", "Radu"],
    family: &[
        "Popa", "Popescu", "Ionescu", "Radu", "Dumitru", "Stan", "Stoica", "Gheorghe", "Rusu", "Munteanu",
        "Țurcanu",
    ],
};

const SK: List = List {
    female: &["Zuzana", "Ema", "Sofia", "Natália", "Kristína", "Lucia", "Katarína", "Michaela"],
    male: &["Jakub", "Samuel", "Adam", "Martin", "Peter", "Matúš", "Tomáš", "Ľuboš"],
    family: &[
        "Horváth/Horváthová",
        "Kováč/Kováčová",
        "Varga/Vargová",
        "Tóth/Tóthová",
        "Nagy/Nagyová",
        "Baláž/Balážová",
        "Molnár/Molnárová",
    ],
};

const SI: List = List {
    female: &["Zala", "Eva", "Ema", "Julija", "Maja", "Nika", "Špela", "Urška"],
    male: &["Luka", "Jakob", "Filip", "Nik", "Žan", "Marko", "Matej", "Rok"],
    family: &[
        "Novak",
        "Horvat",
        "Kovačič",
        "Krajnc",
        "Zupančič",
        "Potočnik",
        "Kovač",
        "Mlakar",
        "Kos",
        "Vidmar",
    ],
};

const ES: List = List {
    female: &["Lucía", "María", "Martina", "Paula", "Carmen", "Laura", "Begoña", "Inés"],
    male: &["Hugo", "Martín", "Lucas", "Alejandro", "Pablo", "Íñigo", "Javier", "Sergio"],
    family: &[
        "García",
        "Rodríguez",
        "González",
        "Fernández",
        "López",
        "Martínez",
        "Sánchez",
        "Pérez",
        "Gómez",
        "Muñoz",
        "Núñez",
        "Ibáñez",
        "Ruiz",
        "Díaz",
    ],
};

const SE: List = List {
    female: &["Alice", "Maja", "Astrid", "Ebba", "Elsa", "Linnéa", "Wilma", "Åsa"],
    male: &["William", "Lucas", "Oscar", "Elias", "Hugo", "Björn", "Åke", "Nils"],
    family: &[
        "Andersson",
        "Johansson",
        "Karlsson",
        "Nilsson",
        "Eriksson",
        "Larsson",
        "Olsson",
        "Persson",
        "Lindström",
        "Sjöberg",
        "Åkesson",
    ],
};
